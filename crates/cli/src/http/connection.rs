//! One connection: its requests and answers, and whether it waits for its client.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use peerl_proto::budget::Share;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt;

use super::connection_state::ConnectionState;
use super::connection_table::Activity;
use super::json::error;
use super::kept_bytes::KeptBytes;
use super::limits::{Lifetime, Limits};
use super::refusals::Refused;

/// Serves a connection until its end.
pub(super) async fn serve(
    stream: TcpStream,
    state: ConnectionState,
    router: Router,
    limits: Limits,
    memory: Arc<Share>,
    mut stop: watch::Receiver<Option<Duration>>,
) {
    let stream = Watched { stream, state: state.clone() };
    let service = service_fn(move |request| {
        let (router, state, kept) = (router.clone(), state.clone(), KeptBytes::new(&memory));
        async move { Ok::<_, Infallible>(answer(request, router, state, kept).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.head_bytes)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A client that disconnects, or does not send HTTP, is not a server error.
    tokio::select! {
        _ = &mut connection => return,
        () = end_of(limits.lifetime) => {}
        _ = stop.wait_for(Option::is_some) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = end_of(limits.lifetime) => {}
    }
}

async fn end_of(lifetime: Lifetime) {
    match lifetime {
        Lifetime::Limited(time) => tokio::time::sleep(time).await,
        Lifetime::Unlimited => std::future::pending().await,
    }
}

async fn answer(request: Request<Incoming>, router: Router, state: ConnectionState, kept: KeptBytes) -> Response {
    // Polled only after earlier answers are sent, so a client that does not read causes no work.
    state.works();
    let path = request.uri().path().to_owned();
    let mut request = request.map(|body| RequestBody { body, state: state.clone(), kept: kept.clone() });
    request.extensions_mut().insert(ConnectInfo(state.client()));
    let response = match AssertUnwindSafe(router.oneshot(request)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of peerl, which its log tells"),
    };
    if let Some(refused) = response.extensions().get::<Refused>() {
        state.refused(&path, *refused);
    }
    let response = kept.answer(response);
    response.map(|body| Body::new(AnswerBody { body, state, kept }))
}

/// A stream that reports when its client does not read.
struct Watched {
    stream: TcpStream,
    state: ConnectionState,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.state.comes_to(Activity::AwaitsClient, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.state.comes_to(Activity::AwaitsClient, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The body of a request, which reports when its client does not send it, and takes memory for what has come.
struct RequestBody {
    body: Incoming,
    state: ConnectionState,
    kept: KeptBytes,
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let frame = self.state.comes_to(Activity::AwaitsClient, frame);
        frame.map(|frame| {
            let frame = match frame? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(axum::Error::new(error))),
            };
            let size = frame.data_ref().map_or(0, Bytes::len);
            Some(self.kept.keep(size).map(|()| frame).map_err(axum::Error::new))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which reports when it has nothing to send yet, and its end.
struct AnswerBody {
    body: Body,
    state: ConnectionState,
    kept: KeptBytes,
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let frame = self.state.comes_to(Activity::AwaitsEvent, frame);
        frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(|part| self.kept.hold(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.state.has_answered();
    }
}
