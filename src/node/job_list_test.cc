#include "node/job_list.h"

#include <gtest/gtest.h>

namespace sundog::node {
namespace {

TEST(JobList, says_of_each_job_whether_its_program_or_something_of_it_is_there) {
  JobList jobs;
  jobs.began(JobId{1}, {7, "one.py", "", 1000, 5 * kSecond});
  EXPECT_EQ(jobs.json(),
            R"([{"job":"01000000","pid":7,"entry_point":"one.py","namespace":"job-1","weight":1,)"
            R"("began_ms":5000,"ended_ms":0,"state":"RUNNING"}])");
  jobs.ended(JobId{1}, 6 * kSecond);
  EXPECT_NE(jobs.json().find(R"("ended_ms":6000,"state":"DETACHED")"), std::string::npos);
  jobs.settled(JobId{1});
  EXPECT_NE(jobs.json().find(R"("state":"ENDED")"), std::string::npos);
}

TEST(JobList, forgets_the_oldest_of_those_that_are_over) {
  JobList jobs;
  for (uint32_t i = 1; i <= 3 * JobList::kOverMax; ++i) {
    jobs.began(JobId{i}, {i, "p", "n", 1000, kSecond});
    jobs.ended(JobId{i}, kSecond);
    if (i > 1) jobs.settled(JobId{i});
  }
  EXPECT_EQ(jobs.all().size(), JobList::kOverMax + 1);
  EXPECT_NE(jobs.find(JobId{1}), nullptr) << "a detached actor of it lives";
  EXPECT_EQ(jobs.find(JobId{2}), nullptr);
  EXPECT_NE(jobs.find(JobId{3 * JobList::kOverMax}), nullptr);
}

}  // namespace
}  // namespace sundog::node
