//! PostgreSQL's guard without a server: both corpora, the positions where calls hide, names and what they resolve to.

mod corpus;
mod cost;
mod mutated;
mod names;
mod refused;
mod shop;
mod writes;
