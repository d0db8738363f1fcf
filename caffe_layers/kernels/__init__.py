"""Triton kernels behind Axpy and the selection of SK units, and their plain torch forms.

`axpy` and `selection` hold what the layers call: the plain form, and the operator that takes its
place where the kernels run (`where`). `programs` holds the kernels themselves; its modules are
imported when one is launched, so that nothing else needs Triton.
"""
