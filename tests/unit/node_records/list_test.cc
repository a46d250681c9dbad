#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/unit/node_records/fixture.h"

namespace noded {
namespace {

using node::v1::ListRequest;
using node::v1::ListResponse;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ListTest : public RegistryTest {
 protected:
  // All pages.
  std::vector<std::string> Names(ListRequest request, int* pages = nullptr) {
    std::vector<std::string> names;
    std::string last_id;
    do {
      auto page = registry->List(request);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      for (const auto& container : page->containers()) {
        EXPECT_LT(last_id, container.id()) << "in the order of ids";
        last_id = container.id();
        names.push_back(container.name());
      }
      request.set_page_token(page->next_page_token());
      if (pages != nullptr) ++*pages;
    } while (!request.page_token().empty());
    return names;
  }
  void InsertLabelled(const std::string& id, const std::string& name,
                      const std::map<std::string, std::string>& labels) {
    ContainerRecord record = Record(id, name);
    record.mutable_container()->mutable_spec()->mutable_labels()->insert(labels.begin(),
                                                                         labels.end());
    ASSERT_TRUE(registry->Insert(record).ok());
  }
};

TEST_F(ListTest, EmptyNode) {
  auto page = registry->List({});
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->containers_size(), 0);
  EXPECT_EQ(page->next_page_token(), "");
}

TEST_F(ListTest, PagesJoinToTheWhole) {
  std::vector<std::string> all;
  for (int i = 0; i < 250; ++i) {
    all.push_back(absl::StrCat("c", i));
    Insert(Id(absl::StrCat(1000 + i)), all.back());
  }
  for (int size : {0, 1, 7, 50, 125, 250, 251, 1000}) {
    ListRequest request;
    request.set_page_size(size);
    int pages = 0;
    EXPECT_EQ(Names(request, &pages), all) << size;
    const int page_size = size == 0 ? 100 : size;
    EXPECT_EQ(pages, (250 + page_size - 1) / page_size) << "no empty page at the end";
  }
}

TEST_F(ListTest, PageEndsAtOneMebibyte) {
  for (int i = 0; i < 25; ++i) {
    ContainerRecord record = Record(Id(absl::StrCat(10 + i)), absl::StrCat("c", i));
    (*record.mutable_container()->mutable_spec()->mutable_annotations())["a"] =
        std::string(i == 3 ? 1'500'000 : 200'000, 'x');
    ASSERT_TRUE(registry->Insert(record).ok());
  }
  ListRequest request;
  request.set_page_size(1000);
  int listed = 0;
  do {
    auto page = registry->List(request);
    ASSERT_TRUE(page.ok());
    EXPECT_TRUE(page->ByteSizeLong() <= 1'048'576 + 1000 || page->containers_size() == 1)
        << page->ByteSizeLong();
    ASSERT_GT(page->containers_size(), 0);
    listed += page->containers_size();
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, 25);
}

TEST_F(ListTest, Filters) {
  InsertLabelled(Id("a"), "web-1", {{"app", "web"}, {"tier", "front"}});
  InsertLabelled(Id("b"), "web-2", {{"app", "web"}});
  InsertLabelled(Id("c"), "db", {{"app", "db"}});
  ASSERT_TRUE(Become(Id("b"), node::v1::CONTAINER_STATE_CREATED).ok());
  auto names = [&](std::map<std::string, std::string> labels, std::string name,
                   std::vector<node::v1::ContainerState> states) {
    ListRequest request;
    request.mutable_filter()->mutable_labels()->insert(labels.begin(), labels.end());
    request.mutable_filter()->set_name(name);
    for (auto state : states) request.mutable_filter()->add_states(state);
    return Names(request);
  };
  EXPECT_THAT(names({}, "", {}), ElementsAre("web-1", "web-2", "db"));
  EXPECT_THAT(names({{"app", "web"}}, "", {}), ElementsAre("web-1", "web-2"));
  EXPECT_THAT(names({{"app", "web"}, {"tier", "front"}}, "", {}), ElementsAre("web-1"));
  EXPECT_THAT(names({{"tier", ""}}, "", {}), ElementsAre("web-1")) << "an empty value matches any";
  EXPECT_THAT(names({{"app", "we"}}, "", {}), IsEmpty());
  EXPECT_THAT(names({}, "db", {}), ElementsAre("db"));
  EXPECT_THAT(names({}, "d", {}), IsEmpty()) << "names are exact";
  EXPECT_THAT(names({{"app", "web"}}, "db", {}), IsEmpty());
  EXPECT_THAT(names({}, "", {node::v1::CONTAINER_STATE_CREATED}), ElementsAre("web-2"));
  EXPECT_THAT(
      names({}, "", {node::v1::CONTAINER_STATE_CREATED, node::v1::CONTAINER_STATE_CREATING}),
      ElementsAre("web-1", "web-2", "db"));
}

TEST_F(ListTest, BadRequestsNameEveryField) {
  for (int i = 0; i < 5; ++i) Insert(Id(absl::StrCat(1 + i)), absl::StrCat("c", i));
  ListRequest request;
  request.set_page_size(1001);
  request.set_page_token("nonsense");
  request.mutable_filter()->add_states(static_cast<node::v1::ContainerState>(99));
  (*request.mutable_filter()->mutable_labels())[""] = "x";
  request.mutable_filter()->set_name(std::string(129, 'n'));
  absl::Status status = registry->List(request).status();
  EXPECT_THAT(status, AllOf(HasCode(absl::StatusCode::kInvalidArgument), NamesField("page_size"),
                            NamesField("page_token"), NamesField("filter.states[0]"),
                            NamesField("filter.labels"), NamesField("filter.name")));
  request = {};
  request.set_page_size(-1);
  EXPECT_THAT(registry->List(request).status(), NamesField("page_size"));

  // A token is bound to its filter, and cannot be made by hand.
  request.set_page_size(2);
  std::string token = registry->List(request)->next_page_token();
  request.set_page_token(token);
  EXPECT_TRUE(registry->List(request).ok());
  request.mutable_filter()->set_name("c1");
  EXPECT_THAT(registry->List(request).status(), NamesField("page_token"));
  request.clear_filter();
  for (const std::string& bad : {token.substr(1), token + "0", std::string("\n"),
                                 token.substr(0, 16), std::string(16, '0') + Id("1")}) {
    request.set_page_token(bad);
    EXPECT_THAT(registry->List(request).status(), NamesField("page_token")) << bad;
  }
}

TEST_F(ListTest, TokenSurvivesARestartAndTheRemovalOfItsContainer) {
  for (int i = 0; i < 4; ++i) Insert(Id(absl::StrCat(1 + i)), absl::StrCat("c", i));
  ListRequest request;
  request.set_page_size(2);
  request.set_page_token(registry->List(request)->next_page_token());
  ASSERT_TRUE(registry->Remove(Id("2")).ok());
  Reopen();
  EXPECT_THAT(Names(request), ElementsAre("c2", "c3"));
}

// While others come and go, each container that exists all the while is listed exactly once.
TEST_F(ListTest, PagesAreConsistentUnderChanges) {
  std::set<std::string> stable;
  for (int i = 0; i < 100; ++i) {
    stable.insert(absl::StrCat("stable-", i));
    Insert(Id(absl::StrCat(1000 + i, "a")), absl::StrCat("stable-", i));
  }
  std::atomic<bool> stop = false;
  std::thread churn([&] {
    for (int i = 0; !stop; ++i) {
      const std::string id = Id(absl::StrCat(1000 + i % 100, "b"));
      Insert(id, absl::StrCat("brief-", i));
      EXPECT_TRUE(registry->Remove(id).ok());
      EXPECT_TRUE(
          Become(Id(absl::StrCat(1000 + i % 100, "a")), node::v1::CONTAINER_STATE_CREATING).ok());
    }
  });
  for (int round = 0; round < 50; ++round) {
    ListRequest request;
    request.set_page_size(7);
    std::vector<std::string> names = Names(request);
    std::set<std::string> seen;
    for (const std::string& name : names) {
      if (!name.starts_with("stable-")) continue;
      EXPECT_TRUE(seen.insert(name).second) << name << " twice";
    }
    EXPECT_EQ(seen, stable);
  }
  stop = true;
  churn.join();
}

}  // namespace
}  // namespace noded
