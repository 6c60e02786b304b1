//! Open notification streams: `subscriptions/listen` (2026-07-28) and the standalone stream of legacy sessions.
//!
//! They carry names of lists and resources, never content. Each ends when its credential does.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use countersign_core::{Denied, Principal, json::Value};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    ask::EVENTS,
    changes::Change,
    methods::Context,
    rpc::{Id, Object, RpcError, notification},
    running::{Answer, Running, Step},
    session::{Session, StreamPlace},
};

/// Counts open streams per principal.
pub(crate) struct Streams {
    limit: usize,
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// The place of one open stream.
pub(crate) struct Place {
    open: Arc<Mutex<HashMap<String, usize>>>,
    owner: String,
}

impl Streams {
    pub(crate) fn new(limit: usize) -> Streams {
        Streams { limit, open: Arc::default() }
    }

    pub(crate) fn take(&self, principal: &Principal) -> Result<Place, Denied> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(principal.key().to_owned()).or_default();
        // MUTATE(I1-streams): a principal opens any number of streams
        if *count >= self.limit {
            return Err(Denied::Limited { limit: "open streams", retry_after: Duration::from_secs(1) });
        }
        *count += 1;
        Ok(Place { open: Arc::clone(&self.open), owner: principal.key().to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.owner) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

/// What a subscription asks for and is granted.
#[derive(Default)]
struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: HashSet<String>,
}

/// Resources that one subscription may name.
const MAX_URIS: usize = 256;

impl Filter {
    /// SPEC: 2026-07-28 patterns, Subscriptions: kinds that we do not support are left out of the acknowledgment.
    fn read(params: Option<&Value<'_>>, resource_updates: bool) -> Result<Filter, RpcError> {
        let wanted = params.and_then(|params| params.get("notifications"));
        let wanted = wanted
            .filter(|wanted| wanted.is_object())
            .ok_or_else(|| RpcError::params("`notifications` must be an object"))?;
        let flag = |name: &str| wanted.get(name).and_then(Value::as_bool).unwrap_or(false);
        let mut uris = HashSet::new();
        if let (true, Some(Value::Array(items))) = (resource_updates, wanted.get("resourceSubscriptions")) {
            if items.len() > MAX_URIS {
                return Err(RpcError::params("`resourceSubscriptions` may name at most 256 resources"));
            }
            uris.extend(items.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        Ok(Filter {
            tools: flag("toolsListChanged"),
            prompts: flag("promptsListChanged"),
            resources: flag("resourcesListChanged"),
            uris,
        })
    }

    fn wants(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools,
            Change::Prompts => self.prompts,
            Change::Resources => self.resources,
            Change::Resource(uri) => self.uris.contains(uri.as_ref()),
        }
    }

    fn acknowledgment(&self, id: &Id) -> String {
        notification("notifications/subscriptions/acknowledged", |params| {
            tag(params, Some(id));
            params.object("notifications", |granted| {
                for (name, flag) in [
                    ("toolsListChanged", self.tools),
                    ("promptsListChanged", self.prompts),
                    ("resourcesListChanged", self.resources),
                ] {
                    if flag {
                        granted.flag(name, true);
                    }
                }
                if !self.uris.is_empty() {
                    granted.array("resourceSubscriptions", &self.uris, |out, uri| {
                        countersign_core::json::push_string(out, uri);
                    });
                }
            });
        })
    }
}

fn tag(object: &mut Object<'_>, id: Option<&Id>) {
    if let Some(id) = id {
        object.object("_meta", |meta| meta.raw("io.modelcontextprotocol/subscriptionId", &id.0));
    }
}

fn tell(change: &Change, id: Option<&Id>) -> String {
    match change {
        Change::Tools => notification("notifications/tools/list_changed", |params| tag(params, id)),
        Change::Prompts => notification("notifications/prompts/list_changed", |params| tag(params, id)),
        Change::Resources => notification("notifications/resources/list_changed", |params| tag(params, id)),
        Change::Resource(uri) => notification("notifications/resources/updated", |params| {
            tag(params, id);
            params.text("uri", uri);
        }),
    }
}

/// `subscriptions/listen`: the acknowledgment, then what was asked for, until the client or the server ends it.
pub(crate) fn listen(context: &Context, id: &Id, params: Option<&Value<'_>>) -> Result<Step, RpcError> {
    let filter = Filter::read(params, context.server.config.resource_updates)?;
    let place = context.server.streams.take(&context.principal).map_err(|denied| context.refused(&denied))?;
    let cancel = context.server.closing.child_token();
    let in_flight = context.track(id, &cancel)?;
    let (events, receiver) = mpsc::channel(EVENTS);
    let mut changes = context.server.changes.subscribe();
    let id = id.clone();
    let ended = context.result(&id, |meta| meta.raw("io.modelcontextprotocol/subscriptionId", &id.0), |_| {});
    let stopped = cancel.clone();
    let answer = tokio::spawn(async move {
        let (_place, _in_flight) = (place, in_flight);
        if events.send(filter.acknowledgment(&id)).await.is_ok() {
            forward(&mut changes, &events, &stopped, Some(&id), |change| filter.wants(change)).await;
        }
        Answer::ok(ended)
    });
    Ok(Step::Running(Running { answer, events: Some(receiver), cancel }))
}

/// The standalone stream of a legacy session: list changes, and updates of the resources that it subscribed to.
pub(crate) fn standalone(
    context: &Context,
    session: &Arc<Session>,
    stream: StreamPlace,
    place: Place,
) -> Running {
    let cancel = session.ended.child_token();
    let (events, receiver) = mpsc::channel(EVENTS);
    let mut changes = context.server.changes.subscribe();
    let (stopped, closing) = (cancel.clone(), context.server.closing.clone());
    let owner = Arc::clone(session);
    let answer = tokio::spawn(async move {
        let _places = (stream, place);
        let wants = |change: &Change| match change {
            Change::Resource(uri) => owner.is_subscribed(uri),
            _ => true,
        };
        tokio::select! {
            () = forward(&mut changes, &events, &stopped, None, wants) => {}
            () = closing.cancelled() => {}
        }
        Answer::ok(String::new())
    });
    Running { answer, events: Some(receiver), cancel }
}

async fn forward(
    changes: &mut broadcast::Receiver<Change>,
    events: &mpsc::Sender<String>,
    stopped: &CancellationToken,
    id: Option<&Id>,
    wants: impl Fn(&Change) -> bool,
) {
    loop {
        let change = tokio::select! {
            () = stopped.cancelled() => return,
            () = events.closed() => return,
            change = changes.recv() => change,
        };
        match change {
            Ok(change) if wants(&change) => {
                if events.send(tell(&change, id)).await.is_err() {
                    return;
                }
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
