//! Credentials: what is granted, what is refused, and how keys change.

mod attacks;
mod grants;
mod keys;
mod support;
