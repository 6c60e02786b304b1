//! Who is calling: the local operator and API keys
