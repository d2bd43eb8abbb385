"""Faults by the thousand: kills, failing system calls, generated inputs. Run them with `make test-faults`."""
