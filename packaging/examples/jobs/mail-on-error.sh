#!/bin/bash
exit_code=$(curl $EXECUTOR_ENDPOINT | jq '.exit_code')

if [[ "$exit_code" != "0" ]]; then
    mail -s 'your job failed, sorry!' bob@hello.com
fi
