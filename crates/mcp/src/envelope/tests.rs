//! What is no message is refused, with the right code.
