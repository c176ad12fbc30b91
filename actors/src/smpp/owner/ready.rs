//! Messages with an intent that wait for a bind with room: one-time codes before all else.

use std::collections::VecDeque;

use model::carrier::MessageKey;

use crate::smpp::job::Job;

#[derive(Debug, Default)]
pub(super) struct Ready {
    codes: VecDeque<MessageKey>,
    others: VecDeque<MessageKey>,
}

impl Ready {
    pub(super) fn push(&mut self, job: &Job) {
        let line = if job.class() == 0 { &mut self.codes } else { &mut self.others };
        line.push_back(job.key);
    }

    pub(super) fn front(&self) -> Option<MessageKey> {
        self.codes.front().or_else(|| self.others.front()).copied()
    }

    pub(super) fn pop_front(&mut self) {
        if self.codes.pop_front().is_none() {
            self.others.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.others.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.codes.len() + self.others.len()
    }

    /// In their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &MessageKey> {
        self.codes.iter().chain(&self.others)
    }
}
