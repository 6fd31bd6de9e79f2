//! The bytes of an answer, or only the first half of them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// The time after its first half at which a response is cut, so that the half is on its way.
const CUT_AFTER: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct AnswerBody {
    bytes: Bytes,
    end: End,
}

#[derive(Debug)]
enum End {
    Whole,
    Half,
    /// The first half is out.
    Cut(Pin<Box<Sleep>>),
}

impl AnswerBody {
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), end: End::Whole }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Lets the connection end in the middle.
    pub(crate) fn cut(&mut self) {
        self.end = End::Half;
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Self { bytes, end } = &mut *self;
        match end {
            End::Whole if bytes.is_empty() => Poll::Ready(None),
            End::Whole => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            End::Half => {
                *end = End::Cut(Box::pin(tokio::time::sleep(CUT_AFTER)));
                let half = bytes.len() / 2;
                Poll::Ready(Some(Ok(Frame::data(bytes.split_to(half)))))
            }
            End::Cut(sleep) => {
                ready!(sleep.as_mut().poll(context));
                Poll::Ready(Some(Err(io::Error::other("cut by a fault"))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
