//! A question to another service of the region. It changes nothing, so it is asked again when the connection breaks; and its answer is worth
//! something for a short time only.

use std::{error::Error as _, time::Duration};

use tokio::time::{sleep, timeout};
use tonic::{Response, Status};

/// Longest time in which a question is answered, all tries together. Clients wait 10 s (decK), and a request asks two services.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Tries, and the pause after the first; each further pause is twice as long.
const TRIES_MAX: u32 = 4;
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until there is an answer, or until the service itself refuses. `DEADLINE_EXCEEDED` if the answer does not come in time.
pub(crate) async fn ask<T, F: Future<Output = Result<Response<T>, Status>>>(
    mut question: impl FnMut() -> F,
) -> Result<T, Status> {
    let answered = async {
        let mut pause = PAUSE;
        for _ in 1..TRIES_MAX {
            match question().await {
                Err(status) if was_lost(&status) => sleep(pause).await,
                answer => return answer,
            }
            pause *= 2;
        }
        question().await
    };
    match timeout(ANSWERED_WITHIN, answered).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

/// Whether the connection failed. What a service refuses has no source.
fn was_lost(status: &Status) -> bool {
    status.source().is_some()
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        io,
        sync::Arc,
    };

    use tonic::Code;

    use super::*;

    fn lost() -> Status {
        let mut status = Status::unavailable("transport error");
        status.set_source(Arc::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        status
    }

    /// The answer, and how many times it was asked for, with these answers in turn.
    async fn asked(answers: Vec<Result<u8, Status>>) -> (Result<u8, Code>, usize) {
        let (mut answers, mut times) = (answers.into_iter(), 0);
        let answer = ask(|| {
            times += 1;
            ready(answers.next().expect("an answer").map(Response::new))
        });
        (answer.await.map_err(|status| status.code()), times)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_tried_again_and_a_refusal_is_not() {
        assert_eq!(asked(vec![Err(lost()), Err(lost()), Ok(7)]).await, (Ok(7), 3));
        assert_eq!(asked(vec![Err(Status::unavailable("away"))]).await, (Err(Code::Unavailable), 1));
        let never = (0..TRIES_MAX).map(|_| Err(lost())).collect();
        assert_eq!(asked(never).await, (Err(Code::Unavailable), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_none() {
        let late = ask(pending::<Result<Response<u8>, Status>>).await;
        assert_eq!(late.map_err(|status| status.code()), Err(Code::DeadlineExceeded));
    }
}
