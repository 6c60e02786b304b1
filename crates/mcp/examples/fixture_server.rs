//! Serves the conformance fixtures over HTTP on loopback (`fixture_server 8931`) or stdio (`fixture_server stdio`), with a policy that
//! allows everything and a log that forgets. For conformance runs and measurements of the data plane alone.

#[path = "../tests/it/world.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "wiring that the tests share; they use more of it")]
mod world;

use std::{collections::HashMap, sync::Arc};

use countersign_mcp::{Changes, Config, Server, bench, fixtures, serve_http, serve_stdio};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1).ok_or("usage: fixture_server PORT|stdio")?;
    let changes = Changes::default();
    let mut tools = fixtures::tools(&changes);
    tools.extend(bench::tools());
    let somebody = world::principal("somebody", "acme");
    let (known, anonymous) = (HashMap::new().into(), Some(Arc::clone(&somebody)));
    let names = Arc::new(world::Names { known, anonymous, revoked: Default::default() });
    let pipeline = world::pipeline(
        tools,
        fixtures::resources(),
        HashMap::new(),
        &Arc::default(),
        Arc::clone(&names) as _,
    );
    let config = Config {
        instructions: "Conformance fixtures.".into(),
        resource_updates: true,
        failures_per_minute: 60,
        ..Config::default()
    };
    let server = Arc::new(Server::new(config, pipeline, names, changes)?.with_prompts(fixtures::prompts()));
    if argument == "stdio" {
        return Ok(serve_stdio(tokio::io::stdin(), tokio::io::stdout(), server, somebody).await?);
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", argument.parse()?)).await?;
    Ok(serve_http(listener, server, CancellationToken::new()).await?)
}
