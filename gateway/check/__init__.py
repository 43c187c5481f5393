"""``python -m gateway check``: what is wrong with a deployment, and how to mend it. Changes nothing."""
