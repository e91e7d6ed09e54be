"""Stage nine: the twin inside other people's programs, and theirs beside the twin.

    qiskit  TwinBackend, TwinSampler, TwinEstimator
    aer     the same noise inside Qiskit Aer, for comparison (needs `qiskit-aer`)

Each adapter imports its peer, so none is imported here.
"""
