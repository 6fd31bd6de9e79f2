//! SQS and S3.

use crate::probe::lab::Lab;
use crate::probe::seen::Seen;

const NO_STACK: &str = "no stack is known; give --stack NAME";

pub(crate) async fn hidden_message_holds_its_group(lab: &Lab) -> anyhow::Result<Seen> {
    if !lab.places.has_stack {
        return Ok(Seen::NotTried(NO_STACK.to_owned()));
    }
    let queue = lab.aws.create_fifo_queue(&lab.schema).await?;
    let tried = async {
        for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
            queue.send(group, body).await?;
        }
        let mut first = Vec::new();
        // They may come in several responses.
        while first.len() < 3 {
            let received = queue.receive().await?;
            if received.is_empty() {
                break;
            }
            first.extend(received);
        }
        for message in &first {
            // Those of a come again later, that of b at once.
            let seconds = if message.body.starts_with('a') { 60 } else { 0 };
            queue.hide(message, seconds).await?;
        }
        queue.send("a", "a3").await?;
        let second = queue.receive().await?;
        anyhow::Ok((first, second))
    };
    let result = tried.await;
    queue.delete().await?;
    let (first, second) = result?;
    let bodies = |messages: &[crate::aws::storage::Received]| {
        messages.iter().map(|message| message.body.clone()).collect::<Vec<_>>()
    };
    let (first, second) = (bodies(&first), bodies(&second));
    let of_a: Vec<_> = first.iter().filter(|body| body.starts_with('a')).collect();
    let seen = format!("received {first:?}, then {second:?}");
    // A receive may take a1 alone.
    let is_first = of_a == ["a1"] || of_a == ["a1", "a2"];
    Ok(Seen::new(is_first && second == ["b1"], seen))
}

pub(crate) async fn receives_max(lab: &Lab) -> anyhow::Result<Seen> {
    if !lab.places.has_stack {
        return Ok(Seen::NotTried(NO_STACK.to_owned()));
    }
    let name = format!("{}_receives", lab.schema);
    let queue = lab.aws.create_fifo_queue(&name).await?;
    let dead = lab.aws.create_fifo_queue(&format!("{name}_dead")).await?;
    let tried = async {
        let at = queue.set_receives_max(&dead, 1_000).await?;
        anyhow::Ok((at, queue.set_receives_max(&dead, 1_001).await?))
    };
    let result = tried.await;
    queue.delete().await?;
    dead.delete().await?;
    let (at, over) = result?;
    let told = |refusal: &Option<String>| refusal.clone().unwrap_or_else(|| "taken".to_owned());
    Ok(Seen::new(at.is_none(), format!("1,000: {}; 1,001: {}", told(&at), told(&over))))
}

pub(crate) async fn if_match(lab: &Lab) -> anyhow::Result<Seen> {
    let Some(bucket) = &lab.places.results_bucket else {
        return Ok(Seen::NotTried(NO_STACK.to_owned()));
    };
    let key = format!("_probe/{}", lab.schema);
    let put = async |body, etag: Option<&str>| lab.aws.put_if_match(bucket, &key, body, etag).await;
    let tried = async {
        let first = put("1", None).await?.unwrap_or_default();
        let second = put("2", Some(&first)).await?;
        let stale = put("3", Some(&first)).await?;
        anyhow::Ok((second, stale))
    };
    let result = tried.await;
    lab.aws.delete_object(bucket, &key).await?;
    let (second, stale) = result?;
    let told = |result: &Result<String, String>| match result {
        Ok(_) => "written".to_owned(),
        Err(code) => code.clone(),
    };
    let holds = second.is_ok() && stale.as_ref().is_err_and(|code| code == "PreconditionFailed");
    Ok(Seen::new(holds, format!("the ETag: {}; an old one: {}", told(&second), told(&stale))))
}

pub(crate) async fn metadata(lab: &Lab) -> anyhow::Result<Seen> {
    let Some(bucket) = &lab.places.results_bucket else {
        return Ok(Seen::NotTried(NO_STACK.to_owned()));
    };
    let key = format!("_probe/{}", lab.schema);
    let sent = "=?UTF-8?B?w6k=?=";
    let returned = lab.aws.echo_metadata(bucket, &key, sent).await;
    lab.aws.delete_object(bucket, &key).await?;
    let returned = returned?;
    // The import reads both.
    Ok(Seen::new(returned == sent || returned == "é", format!("{sent} comes back as {returned}")))
}
