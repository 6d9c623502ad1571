//! Wiring comes with the proof.
