# Starts the server in folder $2 with the programs of folder $1, and stops it when no process has used it for $3 seconds.
# See server.rs for the locks.
cd "$2" || exit 1
exec 9<supervisor
flock -n 9 || exit 1
"$1/pg_ctl" --silent --wait -D data -l log start 9<&- >/dev/null || exit 1
echo ready
exec >/dev/null 7<in-use 8<start
while :; do
    flock 7
    flock -u 7
    sleep "$3"
    flock 8
    flock -n 7 && break
    flock -u 8
done
"$1/pg_ctl" --silent --wait -D data -m immediate stop
cd /
rm -rf "$2"
