"""MiniStack, an emulator of AWS that is not ours, with what its Step Functions lack
and the bulk machine needs. Everything else is as MiniStack does it: reading the
list, executing states, JSONPath, JSONata, retries, errors, the tolerated
percentage, S3, Lambda, CloudWatch.

What stands in for Step Functions here is therefore NOT proved by an interpreter
that is not ours:
- ItemBatcher: MiniStack hands out row by row. Here rows are cut by their number,
  not by MaxInputBytesPerBatch.
- The fields ...Path of a Distributed Map, and the rows in a Map Run's item counts.
- The context of a batch, which in MiniStack is that of the run.
- aws-sdk:s3:putObject.
What is missing here too: a redrive, batches that are not begun any more once the
tolerated percentage is passed, and the limit of 256 KiB on a state's data.
"""

import functools
import json
import os
import sys
import threading

from ministack import app
from ministack.services import s3
from ministack.services import stepfunctions as sfn

read_items, run_map, run_states, call_sdk = (
    sfn._read_map_items, sfn._run_distributed_map, sfn._run_sub_machine, sfn._invoke_aws_sdk_integration)
PATHS = ("MaxConcurrency", "ToleratedFailurePercentage")


def distributed_map(state, raw_input, effective, iterator, execution, ctx):
    state = state | {name: sfn._resolve_path(state[name + "Path"], effective) for name in PATHS if name + "Path" in state}
    batcher, rows = state["ItemBatcher"], []

    def batches(*reader):
        rows.extend(read_items(*reader))
        size = sfn._resolve_path(batcher["MaxItemsPerBatchPath"], effective)
        return [{"Items": rows[at:at + size], "BatchInput": sfn._resolve_params_obj(batcher["BatchInput"], effective, ctx)}
                for at in range(0, len(rows), size)]

    sfn._read_map_items = batches  # one execution runs at a time
    try:
        return run_map(state, raw_input, effective, iterator, execution, ctx)
    finally:
        sfn._read_map_items = read_items
        for run in sfn._map_runs.values():
            if run["executionArn"] == execution["executionArn"]:
                run["itemCounts"]["total"] = len(rows)


def states_of_a_batch(states, start_at, input_data, execution, ctx):
    ctx["Execution"] = ctx["Execution"] | {"Id": execution["executionArn"], "Name": execution["name"]}
    return run_states(states, start_at, input_data, execution, ctx)


def sdk(resource, arguments):
    if not resource.endswith(":aws-sdk:s3:putObject"):
        return call_sdk(resource, arguments)
    status, _, body = app.call_service_handler_sync(
        functools.partial(s3.handle_request, internal=True), "PUT", f"/{arguments['Bucket']}/{arguments['Key']}",
        {"content-type": arguments["ContentType"]}, json.dumps(arguments["Body"]).encode(), {})
    if status != 200:
        raise sfn._ExecutionError("S3.S3Exception", str(body))
    return {}


def end_with_the_starter():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_the_starter, daemon=True).start()
sfn._run_distributed_map, sfn._run_sub_machine, sfn._invoke_aws_sdk_integration = distributed_map, states_of_a_batch, sdk
app.main()
