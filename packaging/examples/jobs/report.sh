#!/bin/bash
curl -X PATCH -d '{progress: 10}' $EXECUTOR_ENDPOINT
sleep 1
curl -XPATCH \
	-d '{"progress": 100, "message": "a custom failure message"}' \
	$EXECUTOR_ENDPOINT
