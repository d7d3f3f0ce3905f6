"""The Helm chart `ullage`, and `python -m deploy.helm FOLDER`, which lays it out with this version and the alert rules."""
