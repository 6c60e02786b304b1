//! Mutated statements.
