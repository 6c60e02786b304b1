//! Merkle log in C2SP tlog-tiles layout: durable, signed, verifiable offline
