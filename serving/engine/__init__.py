"""How vLLM is started, and what it must have: a folder of weights, flags, a gate before its routes.

Nothing here needs more than the standard library, and siblings are imported relatively, for
compose.yaml mounts this very folder into vLLM's container, where it is called `footnote_engine`. So
what `footnote engine command` prints and what the container runs is one function.
"""
