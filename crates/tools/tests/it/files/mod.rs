//! The file tools behind a whole pipeline: real files, real links, real races.

mod corpus;
#[path = "../../../../core/tests/it/ports.rs"]
mod ports;
mod reads;
mod scenery;
mod tenants;
mod world;
mod writes;
