"""Nodes that do not share the control plane's directory: what they fetch, send and bring back.

`growth`, `outputs` and `inputs` are the control plane's side, spoken to by HTTP; `control` is the
node's end of that wire, `cache` keeps inputs there between workloads, and `carrier` does the work
of one node.
"""
