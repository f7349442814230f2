//! What is beyond a limit is 429, with the time after which it would be let through.

use std::{convert::Infallible, num::NonZeroU32, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Method, Request, StatusCode, header},
};
use settings::sections::Rates;

use super::region::{Answer, Region};

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

#[track_caller]
fn waits(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.body);
    assert!(answer.header("retry-after").expect("a time").parse::<u64>().expect("seconds") >= 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_tries_credentials_of_another_kind_is_not_heard() {
    let rates = Rates { unknown_tokens: number(1), unknown_tokens_burst: number(5), ..Rates::default() };
    let region = Region::limited(&rates);
    let enrol = async || region.send_as(None, Method::POST, "/enrol", None).await;
    for _ in 0..5 {
        assert_eq!(enrol().await.status, StatusCode::UNAUTHORIZED);
    }
    waits(&enrol().await);
    waits(&region.send_as(Some("Bearer nonsense"), Method::GET, "/read", None).await);
    assert_eq!(region.send_as(None, Method::GET, "/read", None).await.status, StatusCode::UNAUTHORIZED);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(enrol().await.status, StatusCode::UNAUTHORIZED);
    waits(&enrol().await);
}

/// Whoever sends a body slowly keeps nobody from enrolling.
#[tokio::test]
async fn a_slow_body_takes_no_turn() {
    let region = Region::new();
    let slow = |region: Region| async move {
        let body = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
        region.answer(Request::post("/enrol").body(body).expect("a request")).await
    };
    let waiting: Vec<_> = (0..100).map(|_| tokio::spawn(slow(region.clone()))).collect();
    tokio::task::yield_now().await;
    let answer = region.send_as(None, Method::POST, "/enrol", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

/// The length of a body may be known only when it has been read.
#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_is_charged_as_it_comes() {
    let region = Region::limited(&Rates { caller_kib: number(10), ..Rates::default() });
    let token = region.mint("us", 0);
    let send = async |body: Body| {
        let bearer = format!("Bearer {}", token.expose());
        let request = Request::post("/length").header(header::AUTHORIZATION, bearer).body(body);
        region.answer(request.expect("a request")).await
    };
    let parts = |count: usize| {
        let part = |_| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1024]));
        Body::from_stream(futures::stream::iter((0..count).map(part)))
    };
    let answer = send(parts(15)).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "15360"));
    waits(&send(parts(15)).await);
    waits(&send(Body::from(vec![b'x'; 9 * 1024])).await);
    assert_eq!(send(Body::empty()).await.status, StatusCode::OK, "which costs nothing");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(send(Body::from(vec![b'x'; 15 * 1024])).await.body, "15360");
}
