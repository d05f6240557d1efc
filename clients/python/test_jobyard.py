"""Run by go test ./clients against a real yard."""

import os
import unittest

from jobyard import Jobyard, Problem, TaskError

URL, KEY = os.environ["YARD_URL"], os.environ["YARD_KEY"]


class Test(unittest.TestCase):
    def setUp(self):
        self.yard = Jobyard(URL, key=KEY, patience=5)

    def test_do(self):
        self.assertEqual(self.yard.do("search", {"query": "camera"})["hits"][0]["title"], "camera")
        with self.assertRaises(TaskError) as failed:
            self.yard.do("search", {"query": "fail"}, {"max_retry": 0})
        self.assertEqual(failed.exception.task["error"]["reason"], "not_found")

    def test_task(self):
        request = {"kind": "search", "payload": {"query": "maps"}}
        self.assertEqual(self.yard.post_task(request, idempotency_key="p-1")["id"], "p-1")
        self.assertEqual(self.yard.post_task(request, idempotency_key="p-1")["id"], "p-1")
        self.assertEqual(self.yard.wait("p-1", timeout=30)["state"], "completed")
        self.assertEqual(self.yard.get_result("p-1")["hits"][0]["title"], "maps")

    def test_problems(self):
        for call, status in (
            (lambda: self.yard.post_task({"kind": "search", "payload": {"query": ""}}), 422),
            (lambda: self.yard.get_task("nope/../x"), 404),
            (lambda: Jobyard(URL).get_queues(), 401),
        ):
            with self.assertRaises(Problem) as refused:
                call()
            self.assertEqual(refused.exception.status, status)
            self.assertTrue(refused.exception.request_id)

    def test_batch(self):
        batch = self.yard.post_batch({"tasks": [{"kind": "search", "payload": {"query": q}} for q in "abc"]})
        titles = [t["result"]["hits"][0]["title"] for t in self.yard.get_batch_results(batch["id"])]
        self.assertEqual(titles, ["a", "b", "c"])
        self.assertEqual(self.yard.get_batch(batch["id"], wait="30s")["counts"]["completed"], 3)

    def test_events(self):
        task = self.yard.post_task({"kind": "search", "payload": {"query": "maps"}})
        self.assertEqual([t["state"] for t in self.yard.get_events(task["id"])][-1], "completed")

    def test_dead_letters(self):
        with self.assertRaises(TaskError):
            self.yard.do("search", {"query": "fail"}, {"id": "dead-1", "max_retry": 0})
        self.assertEqual(self.yard.get_dead_letter("dead-1")["payload"], {"query": "fail"})
        self.assertEqual(self.yard.get_dead(kind="search")["letters"][0]["kind"], "search")
        self.yard.replay_dead_letter("dead-1")
        self.assertEqual(self.yard.wait("dead-1", timeout=30)["state"], "archived")
        self.assertIsNone(self.yard.delete_dead_letter("dead-1"))

    def test_blobs(self):
        blob = self.yard.post_blob(b"\x00\xff\n")
        self.assertEqual(self.yard.get_blob(blob["sha256"]), b"\x00\xff\n")

    def test_yard(self):
        self.assertEqual(len(self.yard.get_kinds()["kinds"]), 4)
        self.assertEqual(self.yard.healthz()["status"], "ok")

    def test_full(self):
        slow = os.environ["YARD_SLOW_KEY"]
        with self.assertRaises(Problem) as refused:
            for _ in range(50):
                Jobyard(URL, key=slow).get_queues()
        self.assertEqual(refused.exception.status, 429)
        self.assertGreaterEqual(refused.exception.retry_after, 1)
        self.assertEqual(len(Jobyard(URL, key=slow, patience=30).get_queues()["queues"]), 8)

    def test_cut_streams_go_on(self):
        cut = Jobyard(os.environ["YARD_CUT_URL"], key=KEY)
        task = self.yard.post_task({"kind": "search", "payload": {"query": "maps"}})
        self.assertEqual([t["state"] for t in cut.get_events(task["id"])][-1], "completed")
        batch = self.yard.post_batch({"tasks": [{"kind": "search", "payload": {"query": q}} for q in "abc"]})
        titles = [t["result"]["hits"][0]["title"] for t in cut.get_batch_results(batch["id"])]
        self.assertEqual(titles, ["a", "b", "c"])

    def test_silence(self):
        with self.assertRaises(OSError):
            Jobyard(os.environ["YARD_MUTE_URL"], timeout=0.2).get_queues()


unittest.main()
