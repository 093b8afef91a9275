#!/bin/bash
curl -XPATCH \
	-d '{"env": {"MY_ENV_VAR": "/hello/world", "MY_OLD_VAR": null}}' \
	$EXECUTOR_ENDPOINT
