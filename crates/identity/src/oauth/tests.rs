//! Tokens of an authority that can sign whatever it is told to, against a resource server that knows its keys.

mod attacks;
mod authority;
mod bound;
mod grants;
mod introspection;
mod reload;
mod rotation;
