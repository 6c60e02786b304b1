//! Known secrets, Unicode neutralising and delimiting of untrusted text; standalone
