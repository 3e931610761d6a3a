"""Striate beside PyTorch, onnxruntime and OpenVINO on the layers of `bench/cases`.

    cases      problems as text, the classes they are reported in
    machine    what must be set before a library is imported; limits of the machine; versions
    arrays     operands of a problem, in both memory formats; bytes and operations
    ours       calls of striate                 \\  both map a problem, direction and kind of memory
    peers/     calls of the other libraries     /   to one callable a memory format
    timing     A B A B: short blocks of calls of each side in turn, then each side alone
    checking   the answers of both sides against float64
    running    the loop over cases that appends a row a measurement to a JSON-lines file
    results    rows of such a file: medians of repeats, ratios, geometric means, regressions
    report     tables as plain text or Markdown
    small      the cost of a small call, and of a training step of LeNet-5

Read `bench/README.md` for the commands. Imports go downwards only, and no library that is to be
measured is imported before `machine.prepare` has run.
"""
