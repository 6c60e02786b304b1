//! Statements by class: what is refused, by which rule, and what is answered.
