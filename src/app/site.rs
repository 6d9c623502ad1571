//! What is served on one listener.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::serving::{self, Bounds, Certificate};

/// What is served on one listener, and within which bounds.
pub(super) struct Site {
    listener: TcpListener,
    routes: axum::Router,
    bounds: Bounds,
    certificate: Option<Arc<Certificate>>,
}

impl Site {
    pub async fn bind(
        at: SocketAddr,
        routes: axum::Router,
        bounds: Bounds,
        certificate: Option<Certificate>,
    ) -> std::io::Result<Site> {
        Ok(Site {
            listener: TcpListener::bind(at).await?,
            routes,
            bounds,
            certificate: certificate.map(Arc::new),
        })
    }

    pub async fn serve(self, stop: CancellationToken) {
        serving::serve(
            self.listener,
            self.routes,
            self.bounds,
            self.certificate,
            stop,
        )
        .await;
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
