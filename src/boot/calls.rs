//! Calls that an earlier life of this process left behind: nobody holds them, so they end where they
//! were last seen, and what was put aside for them beyond that is free again.

use std::time::Duration;

use actors::writer::WriterHandle;

/// Between two looks for a writer, or two tries.
const REST: Duration = Duration::from_millis(200);

/// Until it is done. What this process opens meanwhile has a higher key.
pub(super) async fn recover(writer: WriterHandle) {
    while !writer.is_attached() {
        tokio::time::sleep(REST).await;
    }
    let before = writer.first_key();
    loop {
        match writer.recover_calls(before).await {
            Ok(0) => return,
            Ok(calls) => {
                tracing::warn!(calls, "calls of an earlier life ended where they were last seen");
                return;
            }
            Err(refusal) => {
                tracing::warn!(error = %refusal.message, "calls of an earlier life wait");
                tokio::time::sleep(REST).await;
            }
        }
    }
}
