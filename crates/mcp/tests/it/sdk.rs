//! The official SDK as an independent client, in the eras that it speaks, over HTTP and a pipe.

use std::time::Duration;

use countersign_mcp::{Config, serve_stdio};
use rmcp::{
    ClientLifecycleMode, ClientServiceExt,
    model::{CallToolRequestParams, ProtocolVersion},
    service::{RoleClient, RunningService},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};

use crate::{
    site::{Site, server},
    world::principal,
};

fn modes() -> [ClientLifecycleMode; 3] {
    let modern = vec![ProtocolVersion::V_2026_07_28];
    [
        ClientLifecycleMode::Initialize,
        ClientLifecycleMode::Discover { preferred_versions: modern.clone() },
        ClientLifecycleMode::Auto {
            preferred_versions: modern,
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        },
    ]
}

async fn lists_and_calls(client: &RunningService<RoleClient, ()>) {
    let tools = client.list_all_tools().await.unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, ["ask", "echo", "fails", "note", "region", "rows", "slow", "talk", "wipe"]);
    let call = |name: &'static str, arguments: Value| {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        client.call_tool(CallToolRequestParams::new(name).with_arguments(arguments))
    };
    let answer = call("echo", json!({"text": "to and fro"})).await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!(answer["content"][0]["text"], "to and fro");
    let refused = serde_json::to_value(call("echo", json!({"text": 1})).await.unwrap()).unwrap();
    assert_eq!(refused["isError"], true);
    assert!(call("nobody", json!({})).await.is_err());
    let resources = client.list_all_resources().await.unwrap();
    assert_eq!(resources.len(), 1);
}

#[tokio::test]
async fn the_sdk_lists_and_calls_over_http_in_both_eras() {
    let site = Site::start().await;
    for mode in modes() {
        let mut config =
            StreamableHttpClientTransportConfig::with_uri(format!("http://{}/mcp", site.address));
        config.auth_header = Some("alice".into());
        let transport = StreamableHttpClientTransport::from_config(config);
        let connecting = ().serve_with_lifecycle(transport, mode.clone());
        let client = tokio::time::timeout(Duration::from_secs(10), connecting)
            .await
            .unwrap()
            .unwrap_or_else(|e| panic!("{mode:?}: {e}"));
        lists_and_calls(&client).await;
        client.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn the_sdk_lists_and_calls_over_a_pipe_in_both_eras() {
    for mode in modes() {
        let (server, ..) = server(Config::default());
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(ours);
        let served = tokio::spawn(serve_stdio(reader, writer, server, principal("alice", "acme")));
        let client =
            ().serve_with_lifecycle(theirs, mode.clone()).await.unwrap_or_else(|e| panic!("{mode:?}: {e}"));
        lists_and_calls(&client).await;
        client.cancel().await.unwrap();
        served.abort();
    }
}
