//! The bytes of an answer, or only the first half of them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

#[derive(Debug)]
pub(super) struct AnswerBody {
    bytes: Bytes,
    is_cut: bool,
}

impl AnswerBody {
    pub(super) fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), is_cut: false }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Lets the connection end in the middle.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if !self.is_cut {
            let bytes = std::mem::take(&mut self.bytes);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let half = self.bytes.len() / 2;
        Poll::Ready(Some(match half {
            0 => Err(io::Error::other("cut by a fault")),
            half => {
                let first = self.bytes.split_to(half);
                // One byte stays, so that the body does not seem to be at its end.
                self.bytes.truncate(1);
                Ok(Frame::data(first))
            }
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
