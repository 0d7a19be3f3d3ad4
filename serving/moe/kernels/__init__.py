"""Kernels in Triton and Gluon. Importing a module here needs Triton, launching one a GPU.

The interpreter (`TRITON_INTERPRET=1` before the first import) runs `portable` on a CPU. It is
silently wrong on bfloat16 arithmetic, so these kernels widen before they compute.
"""
