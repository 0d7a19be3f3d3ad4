"""Other implementations of the block, to be measured beside ours in one run.

Each module has `load(weights, spec)`, which returns a function from tokens [M, H] to outputs of
the same shape. None of their code is kept here: it is imported from where vLLM's wheel or its own
package is.
"""
