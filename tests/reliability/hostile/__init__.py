"""Hostile recordings: for any file, the reader gives the true values or a reason, in bounded memory and time.

Mutants (`session`, `fuzzer`, `mutate`, `verdict`)
    A structure-aware mutator works on decompressed packets, since random damage to a file ends at gzip's checksum, and
    a tenth of its mutants are damaged in the gzip layer as well. It is guided by coverage: the compiled half of the
    reader is built with the compiler's own edge counters (`coverage`, `edges.c`), and an input that takes a new edge,
    or comes to a new kind of outcome, is mutated further. Every answer is compared with slow readers in plain Python.
    Atheris does not serve here: it sees into C only with clang, exists for few platforms, and ends at the first crash.
Giants (`giants`)
    Files that are large in one way or another: bombs, ten million packets, all track ids, a million gzip members.
Corpus
    Mutants of simulated recordings, and all that was once read wrongly, named by what they must come to.

``make test-apart`` reads 20,000 mutants, and giants of 64 MiB;
``python -m tests.reliability.hostile`` a million, and giants of 1 GiB.
"""
