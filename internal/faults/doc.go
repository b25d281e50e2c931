// Package faults has only tests: fleets whose nodes are processes of their own,
// on servers that really fail. TestFaults has a row for each fault, which runs on
// three kinds of Redis at once: one server, a cluster of three masters with a replica
// each, and a master and its replica behind three sentinels. It tells in a line how
// long it took until all was right again:
//
//	go test -v -run TestFaults ./internal/faults | grep -o 'row [0-9].*'
//	go test -v -run 'TestFaults/.*/cluster' ./internal/faults | grep -o 'row [0-9].*'
//	go test -v -run TestFaults/32 ./internal/faults -faults.for 10m -timeout 1h
//	go test -v -run TestSoak ./internal/faults -faults.soak 1h -timeout 2h
//
// What must hold:
//
//   - I1: after the fault, each list, count and view is what is really connected,
//     within the bound of the row, and stays so;
//   - I2: nobody is told that a connection went that stayed;
//   - I3: who is gone is told of within the lease, or max age, and a sweep;
//   - I4: the diffs that a watcher is told fit each other and the list;
//   - I5: each call ends in time, and goroutines, connections and keys go back to
//     what they were.
//
// Where each fault is shown; a row that needs no process has its test beside the
// package that it is about:
//
//	01 a node is killed                  TestFaults
//	02 a node is frozen, and awakes      TestFaults
//	03 Redis restarts empty              TestFaults, presence TestLostDataIsNoDeparture
//	04 FLUSHALL                          TestFaults
//	05 a failover loses writes           TestFaults
//	06 Redis pauses                      TestFaults, luascripts TestSilenceHoldsSweeps
//	07 a busy script                     TestFaults
//	08 subscriber connections drop       TestFaults
//	09 command connections drop          TestFaults, internal/conformance TestOutageInTheMiddle
//	10 a subscriber is deaf              TestFaults
//	11 SCRIPT FLUSH                      TestFaults
//	12 slots migrate                     internal/clusterfaults TestASlotMigrates, TestASlotStandsHalfWay, TestAClusterGrows
//	13 a master is replaced              TestFaults, internal/clusterfaults TestAMasterIsKilled, TestAMasterIsReplaced, TestAPartIsDown, TestNodesStartWhileAPartIsDown
//	14 a node is cut off                 TestFaults
//	15 ... in one direction              TestFaults
//	16 slow subscribers                  TestFaults, heartbeat TestAClientThatDoesNotRead
//	17 wrong clocks                      TestNothingDependsOnAWallClock, internal/simulation TestSimulation
//	18 out of memory                     TestFaults, luascripts TestOutOfMemory
//	19 keys are evicted                  TestFaults, internal/simulation TestSimulation, prune TestEachDamageIsFoundOnceAndMended
//	20 Redis refuses                     TestFaults
//	21 no more connections               TestFaults
//	22 two processes with one node id    TestFaults
//	23 all connections come again        TestFaults
//	24 rubbish on the bus                presence TestRubbishOnTheBus, FuzzView, groups TestRubbishIsCountedAndDropped, FuzzFrame
//	25 a huge room, huge infos           presence TestHugeRoom, TestHugeInfo
//	26 hostile names                     presence FuzzNames, TestHostilePairs, luascripts TestHostileNames, TestHostileNodes
//	27 hostile clients                   heartbeat TestHostileClients, TestClientsThatNeverEndAMessage
//	28 leaks                             TestSoak, presence TestNothingIsLeftBehind
//	29 nodes are shut down               TestFaults
//	30 a join and a leave race           presence TestALeaveThatComesLate, TestOneUserOnTwoNodes
//	31 sweepers race                     prune TestSweepersRaceATouch, internal/conformance TestConcurrentPrunesAreOneBulkChange
//	32 everything at random              TestFaults, internal/simulation TestSimulation
package faults
