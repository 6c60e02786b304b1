//! MCP wire protocol: both eras, streamable HTTP and stdio
