//! The dead-letter queues of writes and imports: list, show, redrive, discard.
