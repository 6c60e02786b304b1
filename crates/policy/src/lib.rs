//! Cedar policy decision point and the schema generated from the tool registry
