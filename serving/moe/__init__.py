"""gpt-oss' mixture of experts: packing, kernels, tuner, benchmark and the vLLM plugin.

A house of its own: the service never imports it, and it imports nothing of the service. It runs
inside vLLM's process, in an environment without Footnote's other libraries.
"""
