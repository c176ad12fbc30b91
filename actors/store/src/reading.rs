//! What reads as the switch itself: a pool whose answers come once they are on the disk.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyPool, Either, Error, Execute, Executor, SqlStr};

use crate::disk::Progress;

/// Queries run on it as on its pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Engine<'s> {
    pool: &'s AnyPool,
    progress: &'s Progress,
    patience: Duration,
}

impl<'s> Engine<'s> {
    pub(crate) fn new(pool: &'s AnyPool, progress: &'s Progress, patience: Duration) -> Self {
        Self { pool, progress, patience }
    }
}

impl<'s> Executor<'s> for Engine<'s> {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        's: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let found = async move {
            let found: Vec<_> = self.pool.fetch_many(query).try_collect().await?;
            self.progress.settled(self.patience).await?;
            Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(found).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        's: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move {
            let found = self.pool.fetch_optional(query).await?;
            self.progress.settled(self.patience).await?;
            Ok(found)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        's: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }
}
