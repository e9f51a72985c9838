//! The joint decision: which CPUs, nodes and pages serve which VM.
