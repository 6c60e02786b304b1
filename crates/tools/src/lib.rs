//! Countersign's own tools
