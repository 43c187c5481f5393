"""An answer at once: POST /generate_text."""

from gateway import models, shapes
from gateway.openapi.operation import Answer, Content, Operation
from gateway.problems import BadRequest, TooLarge, Upstream, of_state
from gateway.settings import GatewaySettings
from gateway.state import errors

_POEM = '{"poem": "In hues of dusk, the world descends…"}'


def operations(settings: GatewaySettings) -> list[Operation]:
    asked = models.TextPrompt("Write poetry. Build your response in JSON format like this: {'poem': '...'}")
    return [
        Operation(
            method="POST",
            path="/generate_text",
            name="generateText",
            tag="text",
            summary="One prompt, one answer",
            description="Without session and history. The text is of the type that `response_mime_type` names, "
            f"`{settings.text_mime_type}` if left out. A caller who hangs up ends the call to Gemini, too.",
            body=Content(models.TextPrompt, example=asked),
            answers=(
                Answer(
                    "The text",
                    (Content(shapes.Generated, example=shapes.Generated(generated_text=_POEM)),),
                    ("X-Finish-Reason",),
                ),
            ),
            problems=(
                BadRequest("The body does not fit: the prompt is empty."),
                BadRequest("response_schema is larger than 16384 bytes."),
                TooLarge(f"The prompt is longer than {settings.prompt_max_chars} characters."),
                Upstream("blocked", "Gemini refused to answer this message."),
                Upstream(
                    "rate_limited", "Gemini is receiving too many requests right now. Please try again in a moment."
                ),
                Upstream("unavailable", "Gemini cannot be reached right now. Please try again in a moment."),
                Upstream("timeout", "Gemini took too long to answer. Please try again."),
                of_state(errors.QueueFull()),
                of_state(errors.NoWorker()),
            ),
        )
    ]
