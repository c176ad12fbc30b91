//! The interfaces of other gateways on ports of their own: sockets opened, then served.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::task::JoinHandle;

use crate::api::{self, App, Handle};
use crate::settings::{Compatibility, Http};

/// Sockets before there is anything to serve.
pub(super) struct Opened {
    kannel: Option<TcpListener>,
    jasmin: Option<TcpListener>,
}

/// What is served.
pub(super) struct Doors(Vec<(Handle, JoinHandle<()>)>);

impl Opened {
    pub(super) fn new(compatibility: &Compatibility) -> Result<Self> {
        let Compatibility { kannel_bind, jasmin_bind, .. } = compatibility;
        Ok(Self {
            kannel: kannel_bind.map(|at| open("kannel_bind", at)).transpose()?,
            jasmin: jasmin_bind.map(|at| open("jasmin_bind", at)).transpose()?,
        })
    }

    /// Serves until it is told to end.
    pub(super) fn serve(self, app: &App, http: &Http) -> Doors {
        let doors = [
            ("kannel", self.kannel, api::kannel_router as fn(App) -> Router),
            ("jasmin", self.jasmin, api::jasmin_router),
        ];
        let mut tasks = Vec::new();
        for (name, listener, router) in doors {
            let Some(listener) = listener else { continue };
            match listener.local_addr() {
                Ok(at) if name == "kannel" => tracing::info!(kannel = %at, "as Kannel was"),
                Ok(at) => tracing::info!(jasmin = %at, "as Jasmin was"),
                Err(error) => tracing::warn!(%error, name, "a socket without an address"),
            }
            let (router, http, handle) = (router(app.clone()), http.clone(), Handle::new());
            let mine = handle.clone();
            let task = tokio::spawn(async move {
                if let Err(error) = api::serve(listener, router, &http, mine).await {
                    tracing::error!(%error, name, "a compatible interface has ended");
                }
            });
            tasks.push((handle, task));
        }
        Doors(tasks)
    }
}

impl Doors {
    /// Takes no new connections; open requests may finish within the grace time.
    pub(super) fn end(&self, grace: Duration) {
        for (handle, _) in &self.0 {
            handle.graceful_shutdown(Some(grace));
        }
    }

    pub(super) fn close(&self) {
        self.0.iter().for_each(|(_, task)| task.abort());
    }
}

fn open(key: &str, address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("compatibility.{key} {address}: choose another in the settings")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
