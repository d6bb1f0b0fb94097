"""Two models on the same images: what an engineer looks at before one takes the place of the other.

`diff` inspects with both, `diff_result` says what flips, `differing_facts` in what the two files differ.
"""
