"""The settings as each part wants them."""

from gateway import shapes
from gateway.guards.body import BodyLimits
from gateway.guards.rates import RateLimits
from gateway.images.limits import ImageLimits
from gateway.routes.text import TextLimits
from gateway.settings import GatewaySettings
from gateway.state.rates import Rate


def body_limits(settings: GatewaySettings) -> BodyLimits:
    # A character takes at most twelve bytes in JSON: two escaped surrogates.
    return BodyLimits(
        by_path={
            "/chat": 12 * settings.message_max_chars + 4096,
            "/generate_text": 12 * settings.prompt_max_chars + 4 * settings.schema_max_bytes + 4096,
            "/upload": settings.upload_max_bytes + 64 * 1024,
        },
        otherwise=16 * 1024,
        timeout=settings.body_timeout,
        min_rate=settings.body_min_rate,
        budget=settings.body_budget_bytes,
        of_one_client=settings.body_limit,
    )


def rate_limits(settings: GatewaySettings) -> RateLimits:
    return RateLimits(
        session_requests=Rate.parse(settings.rate_session_requests),
        address_requests=Rate.parse(settings.rate_address_requests),
        address_sessions=Rate.parse(settings.rate_address_sessions),
    )


def image_limits(settings: GatewaySettings) -> ImageLimits:
    return ImageLimits(
        pixels=settings.image_max_pixels,
        side=settings.image_max_side,
        frames=settings.image_max_frames,
        stored_bytes=settings.upload_max_bytes,
    )


def text_limits(settings: GatewaySettings) -> TextLimits:
    return TextLimits(
        prompt_chars=settings.prompt_max_chars,
        schema_bytes=settings.schema_max_bytes,
        schema_depth=settings.schema_max_depth,
        deadline=settings.turn_deadline,
        mime_type=settings.text_mime_type,
    )


def told_limits(settings: GatewaySettings) -> shapes.Limits:
    return shapes.Limits(
        message_chars=settings.message_max_chars,
        upload_bytes=settings.upload_max_bytes,
        upload_files=settings.upload_max_files,
        image_pixels=settings.image_max_pixels,
        session_seconds=settings.session_ttl,
    )
